"""Decisions of reviewers and what follows from them.

`reviews` plans a decision over flags (kept by `plan_codec`), `audit` chains the trail (`redis_audit`), `erasure`
removes a subject from every store (`redis_erasure`), `erased` keeps a rebuilt table from bringing the subject back.
"""
