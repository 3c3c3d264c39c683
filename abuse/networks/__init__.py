"""Networks: the lists that operators mounted and an address is on, its autonomous system and country.

`networks` answers for one address and watches the files; `lists` and `netset` read lists, `ranges` looks addresses
up, `geo` reads databases of networks and countries, `watched_files` notices changed files.
"""
