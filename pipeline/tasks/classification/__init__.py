"""Image classification: SDAT (Rangwani et al., 2022), the base method that MIC is added to (method page, section 7)."""
