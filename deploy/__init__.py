"""What a deployment is made of besides the package itself, and the programs that write the generated part of it."""
