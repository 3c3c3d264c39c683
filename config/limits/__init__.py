"""Parts of the policy: thresholds, weights and limits, a file a subject. `config.policy` puts them together."""
