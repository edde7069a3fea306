"""What every part of Flowpress shares; imports none of the other packages."""
