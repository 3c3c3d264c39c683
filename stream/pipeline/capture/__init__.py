"""Capture: what a submission's pictures tell besides liveness. Pure.

`marking` makes their reuse references, `attestation` checks the client's statement,
`compared_frames` finds repeated frames and changed faces, `best_frame` and `session_images` choose and
name the frame to publish, `reference_face` and `verification` compare with a reference image.
"""
