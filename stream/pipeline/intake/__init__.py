"""Intake: the bytes of a submission record become a Submission, Rejected (can be answered) or Poison (can't).

`intake` is the way in; `record_forms` reads the forms of a record, `submission_fields` the fields besides the image,
`image_text` base64.
"""
