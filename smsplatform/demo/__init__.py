"""`make demo`: one campaign through the whole platform, with everything that goes wrong in a real one."""
