"""The city car park (智慧停车): entry and exit by plate, tariff, plate-bound payment, arrears."""
