"""Links between submissions with the same face or picture, and the clusters they form.

In order: `reuse_references` are what a submission is enrolled by, `reuse` enrols them and searches for candidates,
`links` joins candidates to links and clusters, `reuse_result` is what the rules get, `link_store` stores links
(`redis_link_store` on Redis), `link_codec` writes them into decisions and reads them back. Of a cluster that has become
large, `large_clusters` (`redis_large_clusters`) keeps the size, and `joining` lets newcomers join without reading it.
"""
