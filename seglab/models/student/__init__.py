"""The student: a small convolutional network that maps scenes, taught by labels and by a frozen transformer."""
