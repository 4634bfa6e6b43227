"""The methods: source-only, self-training and masked image consistency (MIC)."""
