"""What an audit of a data set found, and the sheet that shows it."""
