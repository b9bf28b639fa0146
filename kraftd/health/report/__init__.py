"""What people and programs read: the health document, its history, chains of reasons."""
