"""Results as text and as pictures: functions of what ``compute()`` returns, which know no metrics."""
