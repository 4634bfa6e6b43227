"""Object detection: Faster R-CNN, SADA and a mean teacher, with MIC on top of either (method page, section 8)."""
