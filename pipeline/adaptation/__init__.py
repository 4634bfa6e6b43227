"""The methods: source-only, three that adapt, and masked image consistency (MIC) on top of any of those."""
