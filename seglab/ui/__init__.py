"""The widget app."""
