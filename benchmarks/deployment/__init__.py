"""What attention still costs once it is deployed."""
