"""From the model to maps: regions, single objects, many scenes, and how good they are."""
