"""The campus (智慧校园): roster, wallets, canteens, bills, subsidies, power, the school's money."""
