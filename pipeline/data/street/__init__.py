"""How the embedded scenes are drawn: canvas, towns, layout, things, light."""
