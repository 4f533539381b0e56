-- Tables of tap-pendo under the names of tables and columns that Fivetran's public dbt package for
-- Pendo (fivetran/dbt_pendo) reads, as views in the schema pendo; docs/moving-over.md says more.
-- PostgreSQL, tables as target-postgres makes them. Event views show current rows only, all others
-- what Pendo still has; a table of versions (…_history) has the newest version alone.

create schema if not exists pendo;

create or replace view pendo.account_history as
select
    account._sdc_batched_at as _fivetran_synced,
    (account.metadata #>> '{auto,firstvisit}')::timestamptz at time zone 'utc' as first_visit,
    account.account_id as id,
    (account.metadata #>> '{auto,idhash}')::bigint as id_hash,
    account.last_updated_at,
    (account.metadata #>> '{auto,lastvisit}')::timestamptz at time zone 'utc' as last_visit
from tap_pendo.accounts as account;

create or replace view pendo.application_history as
select
    application._sdc_batched_at as _fivetran_synced,
    application.agent_policy_prod,
    application.agent_policy_staging,
    application.agent_version_prod,
    application.agent_version_staging,
    application.created_at,
    application.created_by_user ->> 'id' as created_by_user_id,
    application.description,
    application.disabled_at,
    application.display_name,
    application.event_count,
    application.event_rate,
    application.first_event_time,
    application.id::text as id,
    application.integrated,
    application.is_deleted,
    application.last_updated_at,
    application.last_updated_by_user ->> 'id' as last_updated_by_user_id,
    application.marked_for_deletion_at,
    application.name,
    application.platform,
    application.push_application_id,
    application.record_until,
    application.sampling_rate,
    application.starting_event_time,
    application.subscription_id
from tap_pendo.applications as application
where application._sdc_deleted_at is null;

create or replace view pendo.event as
select
    event._sdc_batched_at as _fivetran_synced,
    event.account_id,
    event.app_id::text as app_id,
    event.num_events,
    event.num_minutes,
    event.page_id,
    event.remote_ip,
    event.server as server_name,
    coalesce(event.hour, event.day) as "timestamp",
    event.user_agent,
    event.visitor_id,
    event.row_id as _fivetran_id
from tap_pendo.events as event
where not exists (
    select
    from tap_pendo.sync_windows as read
    where read.stream = 'events'
      and read.read_at > event.read_at
      and coalesce(event.hour, event.day) >= read.window_start
      and coalesce(event.hour, event.day) < read.window_end
      and (
          read.app_ids = '*'
          or event.app_id::text = any (string_to_array(read.app_ids, ','))
      )
);

create or replace view pendo.feature_event as
select
    event._sdc_batched_at as _fivetran_synced,
    event.account_id,
    event.app_id::text as app_id,
    event.feature_id,
    event.num_events,
    event.num_minutes,
    event.remote_ip,
    event.server as server_name,
    coalesce(event.hour, event.day) as "timestamp",
    event.user_agent,
    event.visitor_id,
    event.row_id as _fivetran_id
from tap_pendo.feature_events as event
where not exists (
    select
    from tap_pendo.sync_windows as read
    where read.stream = 'feature_events'
      and read.read_at > event.read_at
      and coalesce(event.hour, event.day) >= read.window_start
      and coalesce(event.hour, event.day) < read.window_end
      and (
          read.app_ids = '*'
          or event.app_id::text = any (string_to_array(read.app_ids, ','))
      )
);

create or replace view pendo.page_event as
select
    event._sdc_batched_at as _fivetran_synced,
    event.account_id,
    event.app_id::text as app_id,
    event.num_events,
    event.num_minutes,
    event.page_id,
    event.remote_ip,
    event.server as server_name,
    coalesce(event.hour, event.day) as "timestamp",
    event.user_agent,
    event.visitor_id,
    event.row_id as _fivetran_id
from tap_pendo.page_events as event
where not exists (
    select
    from tap_pendo.sync_windows as read
    where read.stream = 'page_events'
      and read.read_at > event.read_at
      and coalesce(event.hour, event.day) >= read.window_start
      and coalesce(event.hour, event.day) < read.window_end
      and (
          read.app_ids = '*'
          or event.app_id::text = any (string_to_array(read.app_ids, ','))
      )
);

create or replace view pendo.guide_event as
select
    event._sdc_batched_at as _fivetran_synced,
    event.account_id,
    event.app_id::text as app_id,
    event.country,
    event.element_path,
    event.guide_id,
    event.guide_step_id,
    event.latitude,
    event.load_time,
    event.longitude,
    event.region,
    event.remote_ip,
    event.server_name,
    event.browser_time as "timestamp",
    event.type,
    event.url,
    event.user_agent,
    event.visitor_id,
    event.row_id as _fivetran_id
from tap_pendo.guide_events as event
where not exists (
    select
    from tap_pendo.sync_windows as read
    where read.stream = 'guide_events'
      and read.read_at > event.read_at
      and event.browser_time >= read.window_start
      and event.browser_time < read.window_end
      and (
          read.app_ids = '*'
          or event.app_id::text = any (string_to_array(read.app_ids, ','))
      )
);

create or replace view pendo.poll_event as
select
    event._sdc_batched_at as _fivetran_synced,
    event.account_id,
    event.app_id::text as app_id,
    event.country,
    event.element_path,
    event.guide_id,
    event.guide_step_id,
    event.latitude,
    event.load_time,
    event.longitude,
    event.poll_id,
    event.poll_response,
    event.region,
    event.remote_ip,
    event.server_name,
    event.browser_time as "timestamp",
    event.type,
    event.url,
    event.user_agent,
    event.visitor_id,
    event.row_id as _fivetran_id
from tap_pendo.poll_events as event
where not exists (
    select
    from tap_pendo.sync_windows as read
    where read.stream = 'poll_events'
      and read.read_at > event.read_at
      and event.browser_time >= read.window_start
      and event.browser_time < read.window_end
      and (
          read.app_ids = '*'
          or event.app_id::text = any (string_to_array(read.app_ids, ','))
      )
);

create or replace view pendo.feature_history as
select
    feature._sdc_batched_at as _fivetran_synced,
    feature.app_id::text as app_id,
    feature.color,
    feature.created_at,
    feature.created_by_user ->> 'id' as created_by_user_id,
    feature.dirty,
    feature.product_area ->> 'id' as group_id,
    feature.id,
    feature.is_core_event,
    feature.last_updated_at,
    feature.last_updated_by_user ->> 'id' as last_updated_by_user_id,
    feature.name,
    feature.page_id,
    feature.root_version_id,
    feature.stable_version_id,
    feature.valid_through
from tap_pendo.features as feature
where feature._sdc_deleted_at is null;

create or replace view pendo."group" as
select
    area._sdc_batched_at as _fivetran_synced,
    null::text as app_id,
    area.color,
    area.created_at,
    area.created_by_user ->> 'id' as created_by_user_id,
    area.description,
    area.id,
    area.last_updated_at,
    area.last_updated_by_user ->> 'id' as last_updated_by_user_id,
    area.length,
    area.name
from tap_pendo.product_areas as area
where area._sdc_deleted_at is null;

create or replace view pendo.guide_history as
select
    guide._sdc_batched_at as _fivetran_synced,
    guide.app_id::text as app_id,
    (guide.attributes #>> '{badge,canChangeBadgeColor}')::boolean
        as attribute_badge_can_change_badge_color,
    guide.attributes #>> '{badge,color}' as attribute_badge_color,
    (guide.attributes #>> '{badge,height}')::numeric as attribute_badge_height,
    guide.attributes #>> '{badge,imageUrl}' as attribute_badge_image_url,
    (guide.attributes #>> '{badge,isOnlyShowOnce}')::boolean as attribute_badge_is_only_show_once,
    guide.attributes #>> '{badge,name}' as attribute_badge_name,
    (guide.attributes #>> '{badge,offsets,left}')::numeric as attribute_badge_offset_left,
    (guide.attributes #>> '{badge,offsets,right}')::numeric as attribute_badge_offset_right,
    (guide.attributes #>> '{badge,offsets,top}')::numeric as attribute_badge_offset_top,
    guide.attributes #>> '{badge,position}' as attribute_badge_position,
    guide.attributes #>> '{badge,showOnEvent}' as attribute_badge_show_on_event,
    guide.attributes #>> '{badge,useHover}' as attribute_badge_use_hover,
    (guide.attributes #>> '{badge,width}')::numeric as attribute_badge_width,
    guide.attributes #>> '{device,type}' as attribute_device_type,
    guide.attributes #>> '{priority}' as attribute_priority,
    guide.attributes #>> '{type}' as attribute_type,
    guide.created_at,
    guide.created_by_user ->> 'id' as created_by_user_id,
    guide.email_state,
    guide.id,
    guide.is_multi_step,
    guide.is_training,
    guide.last_updated_at,
    guide.last_updated_by_user ->> 'id' as last_updated_by_user_id,
    guide.launch_method,
    guide.name,
    guide.published_at,
    guide.recurrence,
    guide.recurrence_eligibility_window,
    guide.reset_at,
    guide.root_version_id,
    guide.stable_version_id,
    guide.state
from tap_pendo.guides as guide
where guide._sdc_deleted_at is null;

create or replace view pendo.guide_step_history as
select
    step._sdc_batched_at as _fivetran_synced,
    step.guide_id,
    guide.last_updated_at as guide_last_updated_at,
    step.id as step_id
from tap_pendo.guide_steps as step
join tap_pendo.guides as guide on guide.id = step.guide_id
where step._sdc_deleted_at is null;

create or replace view pendo.page_history as
select
    page._sdc_batched_at as _fivetran_synced,
    page.app_id::text as app_id,
    page.color,
    page.created_at,
    page.created_by_user ->> 'id' as created_by_user_id,
    page.dirty,
    page.product_area ->> 'id' as group_id,
    page.id,
    page.last_updated_at,
    page.last_updated_by_user ->> 'id' as last_updated_by_user_id,
    page.name,
    page.root_version_id,
    page.stable_version_id,
    page.valid_through
from tap_pendo.pages as page
where page._sdc_deleted_at is null;

create or replace view pendo.page_rule_history as
select
    rule._sdc_batched_at as _fivetran_synced,
    rule.designer_hint,
    rule.page_id,
    page.last_updated_at as page_last_updated_at,
    rule.parsed_rule,
    rule.rule
from tap_pendo.page_rules as rule
join tap_pendo.pages as page on page.id = rule.page_id
where rule._sdc_deleted_at is null;

create or replace view pendo.poll as
select
    poll._sdc_batched_at as _fivetran_synced,
    poll.attributes #>> '{display}' as attribute_display,
    poll.attributes #>> '{followUp}' as attribute_follow_up,
    poll.attributes #>> '{maxLength}' as attribute_max_length,
    poll.attributes #>> '{placeholder}' as attribute_placeholder,
    poll.attributes #>> '{type}' as attribute_type,
    poll.id,
    poll.question,
    poll.reset_at
from tap_pendo.polls as poll
where poll._sdc_deleted_at is null;

create or replace view pendo."user" as
select
    person._sdc_batched_at as _fivetran_synced,
    person.deleted_at,
    person.first as first_name,
    person.id,
    person.last as last_name,
    person.role,
    person.user_type,
    person.username
from tap_pendo.users as person
where person._sdc_deleted_at is null;

create or replace view pendo.visitor_account_history as
select
    pair._sdc_batched_at as _fivetran_synced,
    pair.account_id,
    pair.visitor_id,
    visitor.last_updated_at as visitor_last_updated_at
from tap_pendo.visitor_accounts as pair
join tap_pendo.visitors as visitor on visitor.visitor_id = pair.visitor_id
where pair.read_at = visitor.read_at;

create or replace view pendo.visitor_history as
select
    visitor._sdc_batched_at as _fivetran_synced,
    visitor.metadata #>> '{auto,accountid}' as account_id,
    (visitor.metadata #>> '{auto,firstvisit}')::timestamptz at time zone 'utc' as first_visit,
    visitor.visitor_id as id,
    (visitor.metadata #>> '{auto,idhash}')::bigint as id_hash,
    visitor.metadata #>> '{auto,lastbrowsername}' as last_browser_name,
    visitor.metadata #>> '{auto,lastbrowserversion}' as last_browser_version,
    visitor.metadata #>> '{auto,lastoperatingsystem}' as last_operating_system,
    visitor.metadata #>> '{auto,lastservername}' as last_server_name,
    visitor.last_updated_at,
    visitor.metadata #>> '{auto,lastuseragent}' as last_user_agent,
    (visitor.metadata #>> '{auto,lastvisit}')::timestamptz at time zone 'utc' as last_visit,
    null::text as n_id
from tap_pendo.visitors as visitor;
