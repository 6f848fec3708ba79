SELECT name, beds FROM regions WHERE beds > (SELECT COUNT(*) * 2 FROM patients WHERE region = code AND age > 30) ORDER BY 1
