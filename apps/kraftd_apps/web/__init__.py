"""What both apps need of HTTP and of their surroundings; knows nothing of producing or consuming."""
