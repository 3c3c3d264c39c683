"""Networks: whether an address is on a list that operators mounted, and where the address is.

`networks` answers for one address and watches the files; `lists` and `netset` read lists, `ranges` looks addresses
up, `geo` reads databases of networks and countries, `watched_files` notices changed files.
"""
