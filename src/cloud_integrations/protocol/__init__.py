"""HTTP requests built and answers read; nothing is sent here."""
