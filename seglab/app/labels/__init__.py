"""What a person has labelled: classes, objects, areas; changed, reviewed, read and written."""
