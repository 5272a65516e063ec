"""One module for each command, or for each noun with its commands; `groups` loads it when one of them is called."""
