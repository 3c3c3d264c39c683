"""`liveness evaluate`: error rates of attack detection on labelled pictures, in the terms of ISO/IEC 30107-3.

In order: `picture_set` reads which picture is what, `analysing` has all of them analysed by the slots of the worker and
keeps the analyses (`analysis_cache`), `judged` judges them by a policy, `figures` puts the error rates together by the
formulas of `rates`, `intervals` and `operating`, `report` writes one HTML page with `plots`, and `comparison`
tells whose verdict another policy turns. `calibration` proposes a policy, with the weights of `weighing`, and
`proposal` writes it down.
"""
