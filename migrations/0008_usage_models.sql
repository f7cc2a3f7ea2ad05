-- Which model an upstream says has served, and under which name its price was found.

ALTER TABLE usage_logs ADD COLUMN served_model text, ADD COLUMN priced_as text;
