"""The checks of each step: its flags when it is judged, and its TODOs with their hints."""
