"""What a post is: tables of posts read, checked and cleaned. The ground layer, which imports no other package."""
