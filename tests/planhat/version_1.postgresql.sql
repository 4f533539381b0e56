CREATE TABLE planhat_actions (
	rule_id BIGINT NOT NULL,
	entity TEXT NOT NULL,
	action TEXT NOT NULL,
	PRIMARY KEY (rule_id, entity)
);
INSERT INTO planhat_actions (rule_id, entity, action) VALUES (1, '["f1"]', 'Export');
CREATE TABLE planhat_copies (
	tenant_id INTEGER NOT NULL,
	path TEXT NOT NULL,
	read_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, path)
);
INSERT INTO planhat_copies (tenant_id, path, read_at) VALUES (1, 'endusers', 1773232200000);
INSERT INTO planhat_copies (tenant_id, path, read_at) VALUES (1, 'companies', 1773232200000);
CREATE TABLE planhat_facts (
	item_id BIGINT NOT NULL,
	bucket BIGINT NOT NULL,
	app TEXT NOT NULL,
	name TEXT NOT NULL,
	number DOUBLE PRECISION,
	text TEXT,
	PRIMARY KEY (item_id, bucket, app, name)
);
CREATE TABLE planhat_forgotten (
	tenant_id INTEGER NOT NULL,
	id_hash TEXT NOT NULL,
	PRIMARY KEY (tenant_id, id_hash)
);
CREATE TABLE planhat_items (
	id BIGSERIAL NOT NULL,
	rule_id BIGINT NOT NULL,
	date BIGINT NOT NULL,
	subject TEXT NOT NULL,
	company TEXT NOT NULL,
	entity TEXT NOT NULL,
	ends BIGINT NOT NULL,
	wanted DOUBLE PRECISION DEFAULT '0' NOT NULL,
	records BIGINT DEFAULT '0' NOT NULL,
	sent DOUBLE PRECISION DEFAULT '0' NOT NULL,
	posts INTEGER DEFAULT '0' NOT NULL,
	sent_info TEXT,
	written_off DOUBLE PRECISION DEFAULT '0' NOT NULL,
	claimed DOUBLE PRECISION,
	claimed_info TEXT,
	claimed_at BIGINT,
	doubt DOUBLE PRECISION DEFAULT '0' NOT NULL,
	repeated DOUBLE PRECISION DEFAULT '0' NOT NULL,
	changed BOOLEAN DEFAULT true NOT NULL,
	open BOOLEAN DEFAULT false NOT NULL,
	fate TEXT DEFAULT 'waiting' NOT NULL,
	reason TEXT DEFAULT '' NOT NULL,
	run BIGINT DEFAULT '0' NOT NULL,
	since BIGINT NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (rule_id, date, subject, company, entity)
);
CREATE INDEX planhat_items_changed ON planhat_items (rule_id, id) WHERE changed;
CREATE INDEX planhat_items_claimed ON planhat_items (rule_id, id) WHERE claimed IS NOT NULL;
CREATE INDEX planhat_items_open ON planhat_items (rule_id, id) WHERE open;
INSERT INTO planhat_items (id, rule_id, date, subject, company, entity, ends, wanted, records, sent, posts, sent_info, written_off, claimed, claimed_info, claimed_at, doubt, repeated, changed, open, fate, reason, run, since) VALUES (1, 1, 1773014400000, 'nobody', 'acme', '["f1"]', 1773100800000, 4.0, 1, 0.0, 0, NULL, 0.0, NULL, NULL, NULL, 0.0, 0.0, false, true, 'parked', 'Planhat has no end user with this externalId', 1, 1773232200000);
INSERT INTO planhat_items (id, rule_id, date, subject, company, entity, ends, wanted, records, sent, posts, sent_info, written_off, claimed, claimed_info, claimed_at, doubt, repeated, changed, open, fate, reason, run, since) VALUES (2, 1, 1773014400000, 'u2', 'acme', '["f1"]', 1773100800000, 5.0, 1, 2.0, 1, NULL, 0.0, 3.0, NULL, 1773232200000, 0.0, 0.0, false, true, 'waiting', '', 1, 1773232200000);
SELECT setval('planhat_items_id_seq', (SELECT max(id) FROM planhat_items));
CREATE TABLE planhat_ledger (
	version INTEGER NOT NULL
);
INSERT INTO planhat_ledger (version) VALUES (1);
CREATE TABLE planhat_names (
	tenant_id INTEGER NOT NULL,
	stream TEXT NOT NULL,
	id TEXT NOT NULL,
	name TEXT NOT NULL,
	PRIMARY KEY (tenant_id, stream, id)
);
INSERT INTO planhat_names (tenant_id, stream, id, name) VALUES (1, 'features', 'f1', 'Export');
INSERT INTO planhat_names (tenant_id, stream, id, name) VALUES (1, 'features', 'f2', 'Search');
CREATE TABLE planhat_objects (
	tenant_id INTEGER NOT NULL,
	path TEXT NOT NULL,
	id TEXT NOT NULL,
	external_id TEXT,
	source_id TEXT,
	email TEXT,
	company_id TEXT,
	read_at BIGINT NOT NULL,
	PRIMARY KEY (tenant_id, path, id)
);
CREATE INDEX planhat_objects_email ON planhat_objects (tenant_id, path, email);
CREATE INDEX planhat_objects_external_id ON planhat_objects (tenant_id, path, external_id);
CREATE INDEX planhat_objects_source_id ON planhat_objects (tenant_id, path, source_id);
INSERT INTO planhat_objects (tenant_id, path, id, external_id, source_id, email, company_id, read_at) VALUES (1, 'endusers', '69b1442852f2cb0bcb000004', 'u1', NULL, 'u1@acme.example', '69b1442852f2cb0bcb000001', 1773232200000);
INSERT INTO planhat_objects (tenant_id, path, id, external_id, source_id, email, company_id, read_at) VALUES (1, 'endusers', '69b1442852f2cb0bcb000005', 'u1', NULL, 'u1@beta.example', '69b1442852f2cb0bcb000002', 1773232200000);
INSERT INTO planhat_objects (tenant_id, path, id, external_id, source_id, email, company_id, read_at) VALUES (1, 'endusers', '69b1442852f2cb0bcb000006', 'u2', NULL, 'u2@acme.example', '69b1442852f2cb0bcb000001', 1773232200000);
INSERT INTO planhat_objects (tenant_id, path, id, external_id, source_id, email, company_id, read_at) VALUES (1, 'companies', '69b1442852f2cb0bcb000001', 'acme', 's-acme', NULL, NULL, 1773232200000);
INSERT INTO planhat_objects (tenant_id, path, id, external_id, source_id, email, company_id, read_at) VALUES (1, 'companies', '69b1442852f2cb0bcb000002', 'beta', NULL, NULL, NULL, 1773232200000);
CREATE TABLE planhat_people (
	tenant_id INTEGER NOT NULL,
	kind TEXT NOT NULL,
	id TEXT NOT NULL,
	path TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (tenant_id, kind, id, path)
);
CREATE TABLE planhat_reads (
	rule_id BIGINT NOT NULL,
	window_start BIGINT NOT NULL,
	window_end BIGINT NOT NULL,
	app_ids TEXT NOT NULL,
	read_at BIGINT NOT NULL,
	PRIMARY KEY (rule_id, window_start, window_end, app_ids)
);
INSERT INTO planhat_reads (rule_id, window_start, window_end, app_ids, read_at) VALUES (1, 1773014400000, 1773100800000, '*', 1773235800000);
CREATE TABLE planhat_rules (
	id BIGSERIAL NOT NULL,
	tenant_id INTEGER NOT NULL,
	name TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	period TEXT,
	on_change TEXT NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (tenant_id, name)
);
INSERT INTO planhat_rules (id, tenant_id, name, fingerprint, period, on_change) VALUES (1, 1, 'feature_events', '{"combine":"sum","company":"account_id","date":null,"dimension_id":"","granularity":"day","kind":"activity","match":["row","visitor_id","externalId"],"model":"EndUser","named":["feature_id"],"stream":"feature_events","timezone":"UTC","value":"num_events"}', 'hour', 'report');
SELECT setval('planhat_rules_id_seq', (SELECT max(id) FROM planhat_rules));
CREATE TABLE planhat_runs (
	id BIGSERIAL NOT NULL,
	tenant_id INTEGER NOT NULL,
	started BIGINT NOT NULL,
	PRIMARY KEY (id)
);
INSERT INTO planhat_runs (id, tenant_id, started) VALUES (1, 1, 1773232200000);
INSERT INTO planhat_runs (id, tenant_id, started) VALUES (2, 1, 1773232200000);
SELECT setval('planhat_runs_id_seq', (SELECT max(id) FROM planhat_runs));
CREATE TABLE planhat_tenants (
	id BIGSERIAL NOT NULL,
	token_hash TEXT NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (token_hash)
);
INSERT INTO planhat_tenants (id, token_hash) VALUES (1, '934ff00230b98301c51ed6dc3aca61b7843272590d59adc52597edd6c6b88c4b');
SELECT setval('planhat_tenants_id_seq', (SELECT max(id) FROM planhat_tenants));
CREATE TABLE planhat_totals (
	item_id BIGINT NOT NULL,
	bucket BIGINT NOT NULL,
	app TEXT NOT NULL,
	rule_id BIGINT NOT NULL,
	value DOUBLE PRECISION NOT NULL,
	records BIGINT NOT NULL,
	read_at BIGINT NOT NULL,
	run BIGINT NOT NULL,
	PRIMARY KEY (item_id, bucket, app)
);
CREATE INDEX planhat_totals_bucket ON planhat_totals (rule_id, bucket);
INSERT INTO planhat_totals (item_id, bucket, app, rule_id, value, records, read_at, run) VALUES (1, 1773043200000, '1', 1, 4.0, 1, 1773235800000, 2);
INSERT INTO planhat_totals (item_id, bucket, app, rule_id, value, records, read_at, run) VALUES (2, 1773043200000, '1', 1, 5.0, 1, 1773235800000, 2);
