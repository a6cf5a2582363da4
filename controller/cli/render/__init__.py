"""From data to text and pictures for people; pure, no decision in it."""
