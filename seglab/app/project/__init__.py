"""An open project: its scenes and dates, how they look, and what is kept of the view."""
