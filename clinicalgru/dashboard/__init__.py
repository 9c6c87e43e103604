"""The dashboard: a worklist of scored stays and the page of each, served on the loopback interface."""
