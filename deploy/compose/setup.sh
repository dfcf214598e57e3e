# Run by `setup` of compose.yaml, as often as it is started; what is there already stays.
set -eu
zhihui migrate
test -e "$ZHIHUI_DATA_KEYS" || zhihui keys new
zhihui app config --node-key "$ZHIHUI_NATS_CREDENTIALS" > /conf/accounts.conf.new
# NATS runs as another user, and reads only this.
chmod 0644 /conf/accounts.conf.new
mv /conf/accounts.conf.new /conf/accounts.conf
