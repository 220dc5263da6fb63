"""Files in and out: every translation between file conventions and `Grid` happens here."""
