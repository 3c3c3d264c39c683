"""Encrypted selfies: a picture that only holders of a private key can read.

`key_files` reads a key, `key_folder` keeps the operator's folder of keys current, `jwe` opens a picture by one of them.
"""
