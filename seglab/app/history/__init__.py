"""A project's log: what it says, undo and redo, and the same labels again from it."""
