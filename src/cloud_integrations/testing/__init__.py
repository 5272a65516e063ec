"""For tests of applications and of third-party backends: a simulated provider, contract suites, a fixed clock."""
