"""What the tests stand on: a private httpd, a client with control of every byte, certificates."""
