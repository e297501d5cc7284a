"""What `python -m data.explore` finds in a table of posts, before anything is embedded or fitted."""
