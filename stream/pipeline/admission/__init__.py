"""Admission: which submissions are analysed at all, and on what terms of a session.

`admission` asks whether a submission was decided before or is refused, `session_gate` is the port by which a session
allows or refuses it, with the reasons in `session_refusals`.
"""
