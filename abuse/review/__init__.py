"""Decisions of reviewers: planned from the abuse table, kept, carried out, and audited.

1. `reviews`        flags: confirmation, override, reset of a correlation id
2. `rule_switches`  rules: active or not, enforced or not
3. `erasure`        a subject removed from every store (`redis_erasure`); `erased` keeps a rebuilt
   table without the subject
4. `plans`          what each decision will do; `plan_codec` stores a plan before anything is done
5. `refusals`       why nothing is done
6. `audit`          the chain of entries (`redis_audit`)
"""
