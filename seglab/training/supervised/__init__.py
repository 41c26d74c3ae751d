"""Training on whole labelled images, as published: TransLandSeg on folders of pairs, and what it is compared with."""
