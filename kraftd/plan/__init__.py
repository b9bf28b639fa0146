"""What the user asked for, as the plan: settings, checks, programs, files. Pure."""
