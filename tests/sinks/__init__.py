"""What leaves for other systems, without a broker."""
