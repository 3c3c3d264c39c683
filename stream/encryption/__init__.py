"""Keys that the operator's folders hold: of encrypted selfies, of reviewers, of session tokens.

`key_files` and `reviewer_keys` read a key, `key_folder` keeps folders of keys current, `jwe` opens a picture by one of
them, `session_tokens` signs and checks tokens, `capture_statement` what a client signs by its own key.
"""
