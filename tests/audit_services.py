"""The bank's services added to the hand-written ledger of the audit: one small day of each."""

__all__ = ("SERVICES",)

# Carl is a customer with an account of class II, and had one of class III. The stall is a merchant
# that pays 1 % and gives half of the rest to the market. All rows are as the services write them,
# but for the bodies, of which there is what a check reads.
_CHANGES = """
INSERT INTO zhihui.change
SELECT app, 'request-' || seq, seq, operation, '\\x00', outcome, '{}', now()
  FROM (VALUES
    (12, 'shop', 'customer.register'), (13, 'shop', 'case.advance'),
    (14, 'shop', 'account.deposit'), (15, 'shop', 'case.advance'), (16, 'shop', 'account.close'),
    (17, 'shop', 'account.open'),
    (18, 'shop', 'account.open'), (19, 'shop', 'account.open'), (20, 'shop', 'merchant.create'),
    (21, 'shop', 'payment.create'), (22, 'shop', 'payment.refund'), (23, 'shop', 'payment.create'),
    (24, 'shop', 'payment.confirm'), (25, 'shop', 'payment.create'),
    (26, 'shop', 'payment.capture'), (27, 'shop', 'payment.create'), (28, 'shop', 'payment.create'),
    (29, 'shop', 'settlement.daily'), (30, 'shop', 'settlement.advance'),
    (31, 'shop', 'settlement.advance'), (32, 'shop', 'settlement.advance'),
    (33, 'shop', 'settlement.daily'), (34, 'shop', 'settlement.advance'),
    (35, 'shop', 'settlement.advance'), (36, 'shop', 'settlement.advance'),
    (37, 'shop', 'settlement.daily'), (38, 'shop', 'payment.create'), (39, 'shop', 'channel.begin'),
    (40, 'ops', 'channel.reconcile'), (41, 'ops', 'fund.create'), (42, 'shop', 'wealth.subscribe'),
    (43, 'shop', 'wealth_order.confirm'), (44, 'ops', 'fund.income_page'),
    (45, 'shop', 'wealth.redeem'), (46, 'ops', 'fund.clearing_due'), (47, 'ops', 'points.grant'),
    (48, 'ops', 'coupon.issue'), (49, 'shop', 'payment.create'), (50, 'shop', 'credit.apply'),
    (51, 'ops', 'credit.grant'), (52, 'shop', 'credit.quote'), (53, 'shop', 'payment.create'),
    (54, 'shop', 'credit.due'), (55, 'shop', 'mandate.create'), (56, 'shop', 'qr.create')
  ) AS v(seq, app, operation),
  LATERAL (SELECT CASE seq WHEN 28 THEN 'risk_declined' ELSE 'committed' END AS outcome) AS o;
"""

_ACCOUNTS = """
INSERT INTO zhihui.account
SELECT id, seq, app, id, type, asset, floor, ceiling, status, now(), customer_id, class
  FROM (VALUES
    ('carl', 13, 'shop', 'customer', 'CNY', 0, NULL, 'open', 'cust-1', 'II'),
    ('external:card:carl', 13, 'bank', 'external', 'CNY', NULL, NULL, 'open', '', ''),
    ('carl-3', 15, 'shop', 'customer', 'CNY', 0, NULL, 'closed', 'cust-1', 'III'),
    ('external:card:carl-3', 15, 'bank', 'external', 'CNY', NULL, NULL, 'open', '', ''),
    ('stall', 17, 'shop', 'merchant', 'CNY', 0, NULL, 'open', '', ''),
    ('market', 18, 'shop', 'merchant', 'CNY', 0, NULL, 'open', '', ''),
    ('stall-own', 19, 'shop', 'merchant', 'CNY', 0, NULL, 'open', '', ''),
    ('fund:CASH:units', 41, 'bank', 'internal', 'UNIT.CASH', NULL, 0, 'open', '', ''),
    ('fund:CASH:pledged', 41, 'bank', 'internal', 'UNIT.CASH', 0, NULL, 'open', '', ''),
    ('fund:CASH:cash', 41, 'bank', 'internal', 'CNY', 0, NULL, 'open', '', ''),
    ('fund:CASH:advance', 41, 'bank', 'internal', 'CNY', -100000, 0, 'open', '', ''),
    ('fund:CASH:income', 41, 'bank', 'internal', 'CNY', NULL, NULL, 'open', '', ''),
    ('carl.CASH', 42, 'shop', 'wealth', 'UNIT.CASH', 0, NULL, 'open', 'cust-1', ''),
    ('carl.points', 47, 'shop', 'points', 'POINTS', 0, NULL, 'open', 'cust-1', ''),
    ('line-1', 51, 'bank', 'credit_line', 'CNY', -3000, NULL, 'open', 'cust-1', ''),
    ('line-1:charges', 51, 'bank', 'credit_charges', 'CNY', NULL, 0, 'open', 'cust-1', '')
  ) AS v(id, seq, app, type, asset, floor, ceiling, status, customer_id, class);
INSERT INTO zhihui.balance
SELECT account_id, 0, 0, 0 FROM zhihui.account AS a
 WHERE NOT EXISTS (SELECT 1 FROM zhihui.balance AS b WHERE b.account_id = a.account_id);
INSERT INTO zhihui.account_status VALUES (16, 0, 'carl-3', 'closed');
"""

# Every move in order, with its purpose; a move without one has a payment, a deposit or a step of a
# hold. Entries, balances and transfers are these moves and nothing else.
_MOVES = """
CREATE TEMP TABLE move AS
SELECT n::bigint, seq::bigint, debit, credit, amount::bigint, purpose FROM (VALUES
    (1, 14, 'external:card:carl', 'carl', 20000, ''),
    (2, 21, 'carl', 'stall', 1000, ''),
    (3, 21, 'stall', 'income:merchant_fee', 10, 'merchant.fee'),
    (4, 21, 'stall', 'market', 495, 'merchant.split'),
    (5, 22, 'income:merchant_fee', 'stall', 2, 'merchant.fee_back'),
    (6, 22, 'market', 'stall', 99, 'merchant.split_back'),
    (7, 22, 'stall', 'carl', 200, 'payment.refund'),
    (8, 23, 'carl', 'escrow:guaranteed', 400, 'payment.fund'),
    (9, 24, 'escrow:guaranteed', 'stall', 400, 'payment.release'),
    (10, 24, 'stall', 'income:merchant_fee', 4, 'merchant.fee'),
    (11, 24, 'stall', 'market', 198, 'merchant.split'),
    (12, 26, 'carl', 'stall', 200, ''),
    (13, 26, 'stall', 'income:merchant_fee', 2, 'merchant.fee'),
    (14, 26, 'stall', 'market', 99, 'merchant.split'),
    (15, 27, 'carl', 'escrow:guaranteed', 600, 'payment.fund'),
    (16, 32, 'stall', 'stall-own', 594, 'merchant.payout'),
    (17, 38, 'channel:own_bank:expected', 'channel:own_bank:suspense', 600, 'channel.attempt'),
    (18, 39, 'channel:own_bank:suspense', 'escrow:guaranteed', 600, 'payment.fund'),
    (19, 39, 'escrow:guaranteed', 'stall', 600, 'payment.release'),
    (20, 39, 'stall', 'income:merchant_fee', 6, 'merchant.fee'),
    (21, 39, 'stall', 'market', 297, 'merchant.split'),
    (22, 40, 'external:own_bank', 'channel:own_bank:expected', 600, 'channel.reconciled'),
    (23, 42, 'carl', 'fund:CASH:cash', 5000, 'fund.subscribe'),
    (24, 42, 'fund:CASH:units', 'carl.CASH', 5000, 'fund.issue'),
    (25, 44, 'fund:CASH:income', 'fund:CASH:cash', 3, 'fund.income'),
    (26, 44, 'fund:CASH:units', 'carl.CASH', 3, 'fund.credit_income'),
    (27, 45, 'carl.CASH', 'fund:CASH:pledged', 1000, 'fund.pledge'),
    (28, 45, 'fund:CASH:advance', 'carl', 1000, 'fund.advance'),
    (29, 46, 'fund:CASH:cash', 'fund:CASH:advance', 1000, 'fund.clear'),
    (30, 46, 'fund:CASH:pledged', 'fund:CASH:units', 1000, 'fund.end_units'),
    (31, 47, 'expense:marketing', 'points:reserve', 500, 'points.reserve'),
    (32, 47, 'points:issued', 'carl.points', 500, 'points.grant'),
    (33, 49, 'carl.points', 'points:redeemed', 200, 'points.spend'),
    (34, 49, 'expense:marketing', 'stall', 100, 'payment.fund'),
    (35, 49, 'points:reserve', 'stall', 200, 'payment.fund'),
    (36, 49, 'carl', 'stall', 300, 'payment.fund'),
    (37, 49, 'stall', 'income:merchant_fee', 6, 'merchant.fee'),
    (38, 49, 'stall', 'market', 297, 'merchant.split'),
    (39, 53, 'line-1', 'stall', 1200, 'payment.fund'),
    (40, 53, 'stall', 'income:merchant_fee', 12, 'merchant.fee'),
    (41, 53, 'stall', 'market', 594, 'merchant.split'),
    (42, 54, 'line-1:charges', 'income:credit_fee', 7, 'credit.charge'),
    (43, 54, 'carl', 'line-1:charges', 7, 'credit.repay'),
    (44, 54, 'carl', 'line-1', 100, 'credit.repay'),
    (45, 54, 'line-1:charges', 'income:credit_fee', 5, 'credit.charge')
  ) AS v(n, seq, debit, credit, amount, purpose);
INSERT INTO zhihui.transfer
SELECT seq, row_number() OVER (PARTITION BY seq ORDER BY n) - 1, debit, credit, amount, asset,
       purpose
  FROM move JOIN zhihui.account ON account_id = debit WHERE purpose <> '';
INSERT INTO zhihui.entry
SELECT account_id, b.entries + row_number() OVER w, seq, amount, b.posted_minor + sum(amount) OVER w
  FROM (SELECT n, 1 AS side, seq, debit AS account_id, -amount AS amount FROM move
        UNION ALL SELECT n, 2, seq, credit, amount FROM move) AS m
  JOIN zhihui.balance AS b USING (account_id)
WINDOW w AS (PARTITION BY account_id ORDER BY n, side);
UPDATE zhihui.balance AS b
   SET posted_minor = e.balance_after_minor, entries = e.number
  FROM (SELECT DISTINCT ON (account_id) account_id, number, balance_after_minor
          FROM zhihui.entry ORDER BY account_id, number DESC) AS e
 WHERE e.account_id = b.account_id;
UPDATE zhihui.balance SET held_minor = 100 WHERE account_id = 'carl';
INSERT INTO zhihui.deposit
VALUES ('dep-9', 14, 'shop', 'carl', 'external:card:carl', 20000, 'CNY', now());
DROP TABLE move;
"""

_CUSTOMERS = """
INSERT INTO zhihui.customer VALUES ('cust-1', 1, 12, 'shop', 'party-1', '{}');
INSERT INTO zhihui.personal_data
SELECT 'cust-1', field, 1, 12, 'k1', '2e2e22e7:' || repeat(digit, 64), 'zs1.k1.bm9ib2R5IGtub3dz'
  FROM (VALUES ('name', 'a'), ('id_number', 'b'), ('phone', 'c')) AS v(field, digit);
INSERT INTO zhihui.account_case
VALUES ('case-1', 4, 13, 'shop', 'cust-1', 'opened', '{}'),
       ('case-2', 4, 15, 'shop', 'cust-1', 'opened', '{}');
INSERT INTO zhihui.bound_card
VALUES ('carl', 1, 13, 'shop', 'cust-1', '2e2e22e7:' || repeat('d', 64), '{}');
INSERT INTO zhihui.account_limit
VALUES ('carl', 1000000, 1000000, 20000000, 20000000, 'external:card:carl',
        739945, 2200, 200, 2026, 7607, 1200),
       ('carl-3', 200000, 200000, 5000000, 5000000, 'external:card:carl-3', 0, 0, 0, 0, 0, 0);
INSERT INTO zhihui.tally
VALUES ('accounts:II:party-1', 1, 0, false), ('accounts:III:party-1', 0, 0, false),
       ('cases:party-1:2026-11-25', 2, 0, false);
"""

# Payments 5 to 11: made at once and partly refunded; guaranteed and confirmed; authorised and
# partly captured; guaranteed and waiting; by a channel; by a coupon, points and an account; by a
# credit line.
_PAYMENTS = """
INSERT INTO zhihui.payment
SELECT id, seq, 'shop', 'request-' || seq, method, status, payer, 'stall', amount, 'CNY', '', now()
  FROM (VALUES ('pay-5', 21, 'quick', 'succeeded', 'carl', 1000),
               ('pay-6', 23, 'guaranteed', 'order', 'carl', 400),
               ('pay-7', 25, 'authorized', 'order', 'carl', 300),
               ('pay-8', 27, 'guaranteed', 'order', 'carl', 600),
               ('pay-9', 38, 'quick', 'order', 'channel:own_bank', 600),
               ('pay-10', 49, 'quick', 'order', 'carl', 600),
               ('pay-11', 53, 'quick', 'order', 'carl', 1200)
       ) AS v(id, seq, method, status, payer, amount);
INSERT INTO zhihui.payment_order
SELECT id, version, seq, 'shop', payer, 'stall', status, id = 'pay-5',
       format('{"place": "%s", "captured_minor": %s, "refunded_minor": %s, "legs": [%s]}', place,
              captured, refunded,
              format('{"paid": {"amount_minor": %s, "refunded_minor": %s}}', paid, refunded))
  FROM (VALUES ('pay-5', 1, 22, 'carl', 'partially_refunded', 'payee', 1000, 200, 1000),
               ('pay-6', 2, 24, 'carl', 'succeeded', 'payee', 400, 0, 400),
               ('pay-7', 2, 26, 'carl', 'partially_captured', 'holds', 200, 0, 300),
               ('pay-8', 1, 27, 'carl', 'guaranteed', 'escrow', 0, 0, 600),
               ('pay-9', 2, 39, 'channel:own_bank', 'succeeded', 'payee', 600, 0, 600),
               ('pay-10', 1, 49, 'carl', 'succeeded', 'payee', 600, 0, 600),
               ('pay-11', 1, 53, 'carl', 'succeeded', 'payee', 1200, 0, 1200)
       ) AS v(id, version, seq, payer, status, place, captured, refunded, paid);
INSERT INTO zhihui.payment_step
SELECT seq, id, event, status, amount, now()
  FROM (VALUES (22, 'pay-5', 'refunded', 'partially_refunded', 200),
               (23, 'pay-6', 'guaranteed', 'guaranteed', 400),
               (24, 'pay-6', 'succeeded', 'succeeded', 400),
               (25, 'pay-7', 'authorized', 'authorized', 300),
               (26, 'pay-7', 'captured', 'partially_captured', 200),
               (27, 'pay-8', 'guaranteed', 'guaranteed', 600),
               (38, 'pay-9', 'processing', 'processing', 600),
               (39, 'pay-9', 'succeeded', 'succeeded', 600),
               (49, 'pay-10', 'succeeded', 'succeeded', 600),
               (53, 'pay-11', 'succeeded', 'succeeded', 1200)
       ) AS v(seq, id, event, status, amount);
INSERT INTO zhihui.hold
VALUES ('h-7', 25, 'shop', 'carl', 'stall', 'CNY', 'payment', true, 'pay-7', 300, now(), NULL,
        200, 0, 'open', 2),
       ('h-8', 42, 'shop', 'carl.CASH', '', 'UNIT.CASH', 'confirmation', false, 'word-1', 5000,
        now(), NULL, 0, 5000, 'expired', 2);
INSERT INTO zhihui.hold_step
VALUES ('h-7', 1, 25, 'placed', 300, ''), ('h-7', 2, 26, 'captured', 200, 'stall'),
       ('h-8', 1, 42, 'placed', 5000, ''), ('h-8', 2, 43, 'expired', 5000, '');
INSERT INTO zhihui.mandate
VALUES ('man-1', 1, 55, 'shop', 'plate:A12345', 'active', '{}');
INSERT INTO zhihui.qr_code VALUES ('qr-1', 1, 56, 'shop', '{}');
INSERT INTO zhihui.risk_hit
SELECT seq, 0, 'shop', 'request-' || seq, subject, 'cust-1', 'carl', 'stall', 'quick', amount,
       'CNY', rule, kind, stage, 'decline', kind, 'decline', outcome, 0, now()
  FROM (VALUES (27, 'pay-8', 600, 'many', 'customer_count', 'shadow', 'approve'),
               (28, 'pay-x', 500, 'gambling', 'merchant_category', 'live', 'decline')
       ) AS v(seq, subject, amount, rule, kind, stage, outcome);
"""

# The first settlement paid out 594. The second could not and carries its 99 to the third, which is
# open; what came after change 26 is in none yet.
_SETTLEMENT = """
INSERT INTO zhihui.merchant VALUES ('stall', 1, 20, 'shop', '{}');
INSERT INTO zhihui.settlement_leg
SELECT 'stall', seq, leg_id, kind, 'shop', payment_id, method, now(), gross, fee, shared, net,
       format('[["market",%s]]', shared)
  FROM (VALUES (21, 'pay-5', 'payment', 'pay-5', 'quick', 1000, 10, 495, 495),
               (22, 'rfd-1', 'refund', 'pay-5', 'quick', -200, -2, -99, -99),
               (24, 'pay-6', 'payment', 'pay-6', 'guaranteed', 400, 4, 198, 198),
               (26, 'pay-7.1', 'payment', 'pay-7', 'authorized', 200, 2, 99, 99),
               (39, 'pay-9', 'payment', 'pay-9', 'quick', 600, 6, 297, 297),
               (49, 'pay-10', 'payment', 'pay-10', 'quick', 600, 6, 297, 297),
               (53, 'pay-11', 'payment', 'pay-11', 'quick', 1200, 12, 594, 594)
       ) AS v(seq, leg_id, kind, payment_id, method, gross, fee, shared, net);
INSERT INTO zhihui.settlement_standing VALUES ('stall', 9, 37, 'shop', '{}');
INSERT INTO zhihui.settlement
VALUES ('stl-1', 4, 32, 'shop', 'stall', 1, '2026-11-25', 'settled', 0, 24, 594, 0, 0, 594, '{}'),
       ('stl-2', 4, 36, 'shop', 'stall', 2, '2026-11-26', 'failed', 24, 26, 99, 0, 99, 0, '{}'),
       ('stl-3', 1, 37, 'shop', 'stall', 3, '2026-11-27', 'open', 26, 26, 0, 99, 0, 0, '{}');
INSERT INTO zhihui.settlement_range
VALUES ('stall', 0, 30, 24, 'stl-1'), ('stall', 24, 34, 26, 'stl-2');
INSERT INTO zhihui.clearing
VALUES ('2026-11-25', 'shop', 'stall', 'merchant', 'stl-1', 30, 3, 594),
       ('2026-11-25', 'shop', 'income:merchant_fee', 'bank', 'stl-1', 30, 3, 12),
       ('2026-11-25', 'shop', 'market', 'participant', 'stl-1', 30, 3, 594),
       ('2026-11-26', 'shop', 'stall', 'merchant', 'stl-2', 34, 1, 99),
       ('2026-11-26', 'shop', 'income:merchant_fee', 'bank', 'stl-2', 34, 1, 2),
       ('2026-11-26', 'shop', 'market', 'participant', 'stl-2', 34, 1, 99);
"""

_CHANNELS = """
INSERT INTO zhihui.channel_payment VALUES ('pay-9', 2, 39, 'shop', 'paid', '{}');
INSERT INTO zhihui.channel_order
VALUES ('cha-1', 3, 40, 'shop', 'pay', 'own_bank', '6927b352', 'pay-9', 600, 'paid', now(), NULL,
        now(), now(), '{}');
INSERT INTO zhihui.route_choice
VALUES ('pay-9', 1, 38, 'shop', now(), 'own_bank', 1000000, 0, '{}');
"""

_PRODUCTS = """
INSERT INTO zhihui.fund VALUES ('CASH', 4, 46, 'ops', '{}');
INSERT INTO zhihui.wealth_holding VALUES ('carl.CASH', 2, 44, 'shop', 'CASH', '{}');
INSERT INTO zhihui.wealth_order
VALUES ('word-1', 2, 43, 'shop', 'carl.CASH', 'confirmed', '{}'),
       ('word-2', 1, 45, 'shop', 'carl.CASH', 'paid', '{}');
INSERT INTO zhihui.wealth_flow
VALUES ('word-1', 42, 'carl.CASH', 'subscribe', 5000, '2026-11-26'),
       ('carl.CASH.2026-11-26', 44, 'carl.CASH', 'income', 3, '2026-11-27'),
       ('word-2', 45, 'carl.CASH', 'instant', -1000, '2026-11-27');
INSERT INTO zhihui.wealth_income
VALUES ('carl.CASH', '2026-11-26', 44, 'CASH', 5000, 60000, 3, 0, 'carl.CASH');
INSERT INTO zhihui.fund_income VALUES ('CASH', '2026-11-26', 44, 60000, 1, 5000, 3);
INSERT INTO zhihui.fund_clearing VALUES ('CASH', '2026-11-27', 46, '2026-11-30', 1000);
INSERT INTO zhihui.points_wallet
VALUES ('carl.points', 2, 49, 'shop', 'carl',
        '{"account_id": "carl",
          "batches": [{"batch_id": "pts-1", "points": 300, "points_per_fen": 1}]}');
INSERT INTO zhihui.points_use VALUES ('pay-10.2', 1, 49, 'shop', 'carl.points', '{}');
INSERT INTO zhihui.coupon VALUES ('cpn-1', 2, 49, 'shop', 'spring', 'used', '{}');
INSERT INTO zhihui.tally
VALUES ('coupon:cpn-1', 1, 0, false), ('campaign:shop:spring', 1, 100, false),
       ('redeem:shop/carl:CASH:shop:2026-11-27', 1, 1000, false);
INSERT INTO zhihui.credit_line VALUES ('line-1', 2, 51, 'shop', 'cust-1', 'active', '{}');
INSERT INTO zhihui.credit_quote VALUES ('quote-1', 2, 53, 'shop', 'line-1', '{}');
INSERT INTO zhihui.credit_plan
VALUES ('plan-1', 2, 54, 'shop', 'line-1', 'pay-11', 'active', 1100, 5, '{}'),
       ('plan-0', 3, 54, 'shop', 'line-1', 'pay-0', 'refunded', 0, 0, '{}');
"""

_EVENTS = """
INSERT INTO zhihui.event
SELECT 10 + row_number() OVER (ORDER BY n), seq, app, type, subject, '{}', now()
  FROM (VALUES
    (1, 12, 'shop', 'customer.registered', 'cust-1'), (2, 13, 'shop', 'case.opened', 'case-1'),
    (3, 13, 'shop', 'account.opened', 'carl'), (4, 14, 'shop', 'deposit.succeeded', 'dep-9'),
    (5, 15, 'shop', 'case.opened', 'case-2'), (6, 15, 'shop', 'account.opened', 'carl-3'),
    (7, 16, 'shop', 'account.closed', 'carl-3'), (8, 17, 'shop', 'account.opened', 'stall'),
    (9, 18, 'shop', 'account.opened', 'market'), (10, 19, 'shop', 'account.opened', 'stall-own'),
    (11, 20, 'shop', 'merchant.created', 'stall'), (12, 21, 'shop', 'payment.succeeded', 'pay-5'),
    (13, 22, 'shop', 'payment.refunded', 'pay-5'), (14, 23, 'shop', 'payment.guaranteed', 'pay-6'),
    (15, 24, 'shop', 'payment.succeeded', 'pay-6'),
    (16, 25, 'shop', 'payment.authorized', 'pay-7'), (17, 26, 'shop', 'payment.captured', 'pay-7'),
    (18, 27, 'shop', 'payment.guaranteed', 'pay-8'),
    (19, 29, 'shop', 'settlement.opened', 'stl-1'),
    (20, 30, 'shop', 'settlement.computed', 'stl-1'),
    (21, 31, 'shop', 'settlement.paying', 'stl-1'), (22, 32, 'shop', 'settlement.settled', 'stl-1'),
    (23, 33, 'shop', 'settlement.opened', 'stl-2'),
    (24, 34, 'shop', 'settlement.computed', 'stl-2'),
    (25, 35, 'shop', 'settlement.paying', 'stl-2'), (26, 36, 'shop', 'settlement.failed', 'stl-2'),
    (27, 37, 'shop', 'settlement.opened', 'stl-3'), (28, 38, 'shop', 'payment.processing', 'pay-9'),
    (29, 39, 'shop', 'channel.paid', 'cha-1'), (30, 39, 'shop', 'payment.succeeded', 'pay-9'),
    (31, 41, 'ops', 'fund.created', 'CASH'), (32, 42, 'shop', 'wealth.subscribed', 'word-1'),
    (33, 42, 'shop', 'account.opened', 'carl.CASH'), (34, 43, 'shop', 'wealth.confirmed', 'word-1'),
    (35, 44, 'shop', 'wealth.income_credited', 'carl.CASH'),
    (36, 44, 'ops', 'fund.income_distributed', 'CASH'),
    (37, 45, 'shop', 'wealth.redeemed', 'word-2'), (38, 46, 'ops', 'fund.cleared', 'CASH'),
    (39, 47, 'shop', 'points.granted', 'carl.points'),
    (40, 47, 'shop', 'account.opened', 'carl.points'), (41, 48, 'shop', 'coupon.issued', 'cpn-1'),
    (42, 49, 'shop', 'coupon.used', 'cpn-1'), (43, 49, 'shop', 'points.spent', 'carl.points'),
    (44, 49, 'shop', 'payment.succeeded', 'pay-10'), (45, 50, 'shop', 'credit.applied', 'line-1'),
    (46, 51, 'shop', 'credit.granted', 'line-1'), (47, 52, 'shop', 'credit.quoted', 'quote-1'),
    (48, 53, 'shop', 'credit.drawn', 'plan-1'), (49, 53, 'shop', 'payment.succeeded', 'pay-11'),
    (50, 54, 'shop', 'credit.billed', 'plan-1'), (51, 54, 'shop', 'credit.repaid', 'line-1'),
    (52, 55, 'shop', 'mandate.created', 'man-1')
  ) AS v(n, seq, app, type, subject);
"""

SERVICES = (
    _CHANGES + _ACCOUNTS + _MOVES + _CUSTOMERS + _PAYMENTS + _SETTLEMENT + _CHANNELS + _PRODUCTS
    + _EVENTS
)  # fmt: skip
