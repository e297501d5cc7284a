"""What a post is: reading, checking and cleaning tables of posts. The ground layer: imports none of the other packages."""
