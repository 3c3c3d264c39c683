"""Links between submissions with the same face or picture, and the clusters they form.

In order: `marks` are the reuse references of a submission, `reuse` enrols them and searches for candidates, `links`
joins candidates to links and clusters, `reuse_result` is what the rules get, `link_book` stores links
(`redis_link_book` on Redis), `link_codec` writes them into decisions and reads them back.
"""
